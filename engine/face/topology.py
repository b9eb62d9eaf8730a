"""Which of the 478 landmarks are what.

The numbering is that of MediaPipe's face landmarker: 468 mesh vertices, then five points per
iris. "Left" and "right" are the subject's own, as in ARKit: the subject's left eye is on the
right side of an unmirrored picture. A ring that crosses the face runs from the subject's right
to the left (in the picture, from left to right), so the same position in an upper and a lower
ring is the same place along the lip or lid.
"""

from __future__ import annotations

from typing import Final

POINTS: Final = 478
MESH_POINTS: Final = 468  # those with a place on the canonical mesh; the rest are the irises

# The lips, four rings each from the opening outwards. Positions 0 and 10 are the mouth corners.
UPPER_LIP: Final = (
    (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308),
    (62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292),
    (76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306),
    (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291),
)
LOWER_LIP: Final = (
    (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308),
    (62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292),
    (76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306),
    (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291),
)
UPPER_INNER: Final = UPPER_LIP[0]
LOWER_INNER: Final = LOWER_LIP[0]
UPPER_OUTER: Final = UPPER_LIP[-1]
LOWER_OUTER: Final = LOWER_LIP[-1]
RIGHT_MOUTH_CORNER: Final = 61
LEFT_MOUTH_CORNER: Final = 291
UPPER_LIP_CENTRE: Final = 13  # on the opening
LOWER_LIP_CENTRE: Final = 14

# The lid margins; positions 0 and 8 are the eye corners.
RIGHT_EYE_UPPER: Final = (33, 246, 161, 160, 159, 158, 157, 173, 133)
RIGHT_EYE_LOWER: Final = (33, 7, 163, 144, 145, 153, 154, 155, 133)
LEFT_EYE_UPPER: Final = (362, 398, 384, 385, 386, 387, 388, 466, 263)
LEFT_EYE_LOWER: Final = (362, 382, 381, 380, 374, 373, 390, 249, 263)
# The skin under the brow, and under the eye.
RIGHT_UNDER_BROW: Final = (113, 225, 224, 223, 222, 221, 189)
LEFT_UNDER_BROW: Final = (413, 441, 442, 443, 444, 445, 342)
RIGHT_UNDER_EYE: Final = (110, 24, 23, 22, 26)
LEFT_UNDER_EYE: Final = (256, 252, 253, 254, 339)
# Upper edges, then lower edges of the brows.
RIGHT_BROW: Final = ((70, 63, 105, 66, 107), (46, 53, 52, 65, 55))
LEFT_BROW: Final = ((336, 296, 334, 293, 300), (285, 295, 282, 283, 276))
# Centre of the pupil, then four points on the edge of the iris.
RIGHT_IRIS: Final = (468, 469, 470, 471, 472)
LEFT_IRIS: Final = (473, 474, 475, 476, 477)

# The outline, clockwise in the picture from the top of the forehead.
FACE_OVAL: Final = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
FOREHEAD_TOP: Final = 10
CHIN: Final = 152
NOSE_TIP: Final = 4
RIGHT_TEMPLE: Final = 127
LEFT_TEMPLE: Final = 356

# Points that expressions hardly move. MediaPipe's geometry pipeline fits the head pose to
# these (its ``procrustes_landmark_basis``).
RIGID: Final = (
    *(4, 6, 10, 33, 54, 67, 117, 119, 121, 127, 129, 132, 133, 136, 143, 147, 198),
    *(205, 263, 284, 297, 346, 348, 350, 356, 358, 361, 362, 365, 372, 376, 420, 425),
)
