"""pandas: converting floats with NaN to times multiplies memory that was never set, and fails by chance."""

import numpy as np
import pandas as pd

seconds = np.array([1.7e9, np.nan] * 20)
failed = 0
for _ in range(100):
    freed = [np.full(seconds.size, 1.7e308) for _ in range(20)]  # numbers that pandas may find in new memory
    del freed
    try:
        pd.to_datetime(seconds, unit="s", utc=True)
    except FloatingPointError:
        failed += 1
print(f"pandas {pd.__version__}: {failed} of 100 conversions raised FloatingPointError")
print("shown" if failed else "mended")
