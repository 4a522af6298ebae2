"""The device side: measures. Python standard library, numpy and a TFLite runtime; runs on Python 3.8."""
