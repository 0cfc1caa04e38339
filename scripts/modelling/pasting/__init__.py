"""Real nodules pasted into nodule-free slices: in come the two collections, out go training images with known places.

All classes share backgrounds, places, controls and augmentation, so that only the nodule tells them apart.
"""
