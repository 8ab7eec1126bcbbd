"""Containers of tests."""

from tiled.client.utils import ClientError


def new_container(client, key, **options):
    """Create a container. On a slow machine Tiled's client repeats a request that the server has carried out."""
    try:
        return client.create_container(key, **options)
    except ClientError as error:
        if error.response.status_code != 409:
            raise
        return client[key]
