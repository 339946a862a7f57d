"""Amazon CloudWatch Logs. Its tables are the kernel's: functions write them without asking."""
