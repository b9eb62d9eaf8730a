"""From a photo to a face that can be moved: detection, landmarks and the rig."""
