"""The pages that show the data in a browser, made on the server from the API's own queries."""
