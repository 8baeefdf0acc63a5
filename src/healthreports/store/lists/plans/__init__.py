"""The plans that can find a page of status reports, one class each, and the choice of one."""
