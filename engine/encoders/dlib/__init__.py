"""dlib's face recognition network (King 2017): its weights' format, and the network in Keras."""
