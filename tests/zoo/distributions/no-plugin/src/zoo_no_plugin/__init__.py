"""Its factory makes something else than a plugin."""


def animal(context):
    return {"name": context.name}
