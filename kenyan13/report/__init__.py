"""`kenyan13 report`: everything that run directories tell, on one page of HTML that can be sent to somebody."""
