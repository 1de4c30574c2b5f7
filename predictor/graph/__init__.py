"""The call graph whose overhead is predicted: its types, its YAML file and the arithmetic on its shape."""
