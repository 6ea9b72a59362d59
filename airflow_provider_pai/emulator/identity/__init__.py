"""STS 2015-04-01 and RAM 2015-05-01: who calls, and which roles there are."""
