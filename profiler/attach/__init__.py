"""Looking at proxies that already run: which processes, what is measured of them, and what that may cost them."""
