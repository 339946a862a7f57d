"""One folder per AWS service, named as botocore names it (``-`` as ``_``)."""
