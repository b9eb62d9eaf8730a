"""From a photo to a face that can be moved.

``image`` reads the photo, ``detect`` finds faces in it, ``landmarks`` measures the one to
animate and refuses what cannot work, ``blendshapes`` reads its expression, and ``renderer`` draws
it with another one. Nothing is imported here, so that a player pays only for what it uses.
"""
