"""How large a data set may be, and what one may unpack to: checked before anything is read."""

# Of all arrays or images together, unpacked.
MAX_BYTES = 8 * 1024**3
# Unpacked to packed; deflate itself ends at 1,032 to one.
MAX_RATIO = 200
# Below this size an archive may be as dense as it likes.
SMALL_BYTES = 8 * 1024**2
MAX_FILES = 500_000
MAX_FILE_BYTES = 64 * 1024**2
MAX_ARRAYS = 64
MAX_SIDE = 4096
MAX_CLASSES = 10_000
MAX_CLASS_NAME = 100
