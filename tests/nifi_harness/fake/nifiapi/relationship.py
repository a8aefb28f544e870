class Relationship:
    def __init__(self, name: str, description: str, auto_terminated: bool = False) -> None:
        self.name = name
        self.description = description
        self.auto_terminated = auto_terminated
