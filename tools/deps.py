"""What the compiler's dependency files say: which source files each object was made from."""
import os

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.abspath(os.environ.get("CAISSON_BUILD", os.path.join(ROOT, "build")))


def dependencies(folder):
    """
    folder below build/ -> {dependency file: [files of the project that its target was made from, source first]}. Where
    the build lists what it links, in folder/objects, what an object of an earlier build left behind is not among them.
    """
    found = {}
    top = os.path.join(BUILD, folder)
    linked = listed(os.path.join(top, "objects"))
    for where, _, files in os.walk(top):
        for name in files:
            path = os.path.join(where, name)
            if name.endswith(".d") and (not linked or in_use(path, linked)):
                sources = read(path)
                if sources:
                    found[path] = sources
    return found


def in_use(path, linked):
    """Is what the dependency file is of linked, or included by what is?"""
    return os.path.relpath(path[:-2] + ".o", BUILD) in linked or os.path.exists(path[:-2] + ".inc")


def listed(path):
    """The lines of a file, if it is there."""
    if not os.path.exists(path):
        return set()
    with open(path, encoding="utf-8") as f:
        return set(f.read().split())


def read(path):
    """One dependency file. Rules without prerequisites (-MP) are left out, and so is what a deleted source left."""
    with open(path, encoding="utf-8") as f:
        text = f.read().replace("\\\n", " ")
    sources = [os.path.normpath(s) for s in text.split("\n", 1)[0].partition(":")[2].split()]
    if not sources or not inside(sources[0]):
        return []
    return [s for s in sources if inside(s)]


def inside(path):
    return not os.path.isabs(path) and not path.startswith(("build/", "..")) and os.path.exists(os.path.join(ROOT, path))


def code_lines(path):
    """Lines that are neither blank nor only comment; C, headers and nasm."""
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        text = f.read()
    if path.endswith((".asm", ".inc")):
        return sum(1 for line in text.split("\n") if line.split(";", 1)[0].strip())
    return sum(1 for line in strip_c(text).split("\n") if line.strip())


def strip_c(text):
    """C without comments; strings and character constants are respected."""
    out, i, n = [], 0, len(text)
    while i < n:
        c = text[i]
        if text.startswith("//", i):
            i = text.find("\n", i)
            if i < 0:
                break
        elif text.startswith("/*", i):
            end = text.find("*/", i + 2)
            end = n if end < 0 else end + 2
            out.append("\n" * text.count("\n", i, end))
            i = end
        elif c in "\"'":
            end = i + 1
            while end < n and text[end] != c:
                end += 2 if text[end] == "\\" else 1
            out.append(text[i:end + 1])
            i = end + 1
        else:
            out.append(c)
            i += 1
    return "".join(out)
