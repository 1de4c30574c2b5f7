"""Models, predictions and validations as figures that can be compared; profiles need none of it."""
