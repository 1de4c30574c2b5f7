"""Which function an instruction of a proxy belongs to, and which component a function belongs to."""
