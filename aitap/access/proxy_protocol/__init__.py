"""Behind a load balancer: its PROXY protocol says who connects."""
