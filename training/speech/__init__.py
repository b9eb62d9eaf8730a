"""How ``engine/models/speech.onnx`` and ``engine/models/codebook.npy`` are made.

``python -m training.speech`` runs the stages fetch, synthesise, align, train, export, codebook and
evaluate; every stage resumes where it stopped. ``--quick`` runs all of them on a tiny set.
Everything comes from PyPI, npm and Debian packages; see README.md in this folder.
"""
