"""A host that knows nothing of video_tool: it loads whatever tools are installed, lists them, and calls one.

python examples/host.py                                   # which tools there are
python examples/host.py video_qa '{"question": "…", …}'   # what one says
"""

import sys
from importlib.metadata import entry_points


def main() -> int:
    tools = {entry.name: entry.load() for entry in entry_points(group="video_tool.tools")}
    if len(sys.argv) < 3:
        for name, tool in tools.items():
            print(f"{name}({', '.join(tool.schema['properties'])})\n    {tool.description}\n")
        return 0
    result = tools[sys.argv[1]].call(sys.argv[2])
    print(result.text)
    return 0 if result.error is None else 1


if __name__ == "__main__":
    sys.exit(main())
