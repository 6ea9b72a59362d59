"""Smoke round: the smallest true round on an account, which reads what no document tells, and takes all away again."""
