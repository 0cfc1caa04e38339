#!/usr/bin/env bash
# Believed: info["dpi"] of a JPEG has both resolutions that its EXIF states, across and down.
# True:     without a density in JFIF Pillow gives the one across for both, so that pixels of 3 to 2 look square; (72, 72)
#           where it can read none. PNG and WebP have none, TIFF has both. And where the tag is a text of one letter no
#           JPEG is opened at all.
# Version:  pillow 13.0.0
# Matters:  a slice whose pixels are not square is scored and measured as if they were.
source "$(dirname "$0")/preamble"
packages pillow==13.0.0
venv/bin/python - <<'PY'
import io

from PIL import Image, TiffImagePlugin, __version__

print("pillow", __version__)

def read(kind, **options):
    out = io.BytesIO()
    Image.new("L", (4, 6)).save(out, kind, **options)
    try:
        return Image.open(io.BytesIO(out.getvalue())).info.get("dpi")
    except Image.UnidentifiedImageError:
        return "not opened"

exif = Image.Exif()
exif[282], exif[283], exif[296] = 300, 200, 2  # across, down, by the inch
tags = TiffImagePlugin.ImageFileDirectory_v2()
tags.tagtype[282] = tags.tagtype[283] = 2  # text
tags[282], tags[283], tags[296] = "3", "2", 2
text = b"Exif\0\0II*\0\x08\0\0\0" + tags.tobytes(8)
seen = {kind: read(kind, exif=exif) for kind in ("JPEG", "PNG", "WEBP")}
seen |= {"TIFF": read("TIFF", dpi=(300, 200)), "JFIF": read("JPEG", dpi=(300, 200)), "text": read("JPEG", exif=text)}
print("believed: (300, 200) wherever it is told; seen:", seen)
raise SystemExit(not (seen["JPEG"] == (300, 300) and seen["text"] == "not opened"
                      and (seen["TIFF"], seen["JFIF"]) == ((300, 200), (300, 200))))
PY
