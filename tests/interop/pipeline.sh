#!/bin/sh
# Runs the test of the same name with the Python that has what it needs.
exec "${SRQ_PYTHON:-python3}" "$top_srcdir/tests/interop/pipeline.py"
