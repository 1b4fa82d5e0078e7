"""Annotations as people have them: drawn in Python, or in the files of LabelMe, CVAT, Label Studio, Roboflow,
napari, ImageJ and others; read and written, without PyTorch."""
