"""Write the files of the page to a folder: ``python -m ainerd.page FOLDER [URL]``, and print the lines for Tiled.

URL is the address of the folder on the server, such as ``/ui/ainerd``.
"""

import json
import sys
from pathlib import Path

from ainerd.page import spec_views, write_page

if len(sys.argv) not in (2, 3):
    sys.exit(__doc__)
write_page(Path(sys.argv[1]))
print("spec_views:")
for view in spec_views(f"{[*sys.argv, '/ui/ainerd'][2].rstrip('/')}/views.js"):
    print(f"  - {json.dumps(view)}")
