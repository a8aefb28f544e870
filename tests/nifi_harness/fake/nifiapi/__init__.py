"""As much of NiFi's Python API as the processors use, without a JVM; test_real_nifiapi.py holds it to the real one.

It is also what type checkers read, for the real package has no types.
"""
