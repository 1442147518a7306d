"""Rebuild networks in Keras: from keras.applications, dlib's, SFace's and any face network's ONNX file."""
