"""A walk through the pages of `/data`."""


def start(client, **query):
    """Ask for the first page of a walk; return the parameters that ask for the second."""
    page = client.get("/data", query_string=query).json
    return {**query, "cursor": page["meta"]["next_cursor"]}
