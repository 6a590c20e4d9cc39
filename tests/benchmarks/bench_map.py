"""`llmmw map` against xllamacpp called directly, with the same parallelism: tokens a second.

Both are whole processes: import, loading the model, answering, writing the answers.

    python3 tests/benchmarks/bench_map.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from _measure import medians, say

SLOTS = 4
LENGTH = {"max_output_tokens": 128, "temperature": 0}
ROUNDS = 7
TOPICS = ("rivers", "bread", "clocks", "rain", "glass", "maps", "salt", "bridges", "wheels", "bees")

_DIRECT = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.n_parallel = int(sys.argv[4])
params.n_ctx = 4096 * params.n_parallel
params.verbosity = -1
server = xllamacpp.Server(params)

def answer(row):
    row["max_tokens"] = row.pop("max_output_tokens")
    row["messages"] = [{"role": "user", "content": row.pop("prompt")}]
    made = server.handle_chat_completions(row)
    return {"text": made["choices"][0]["message"]["content"], "usage": made["usage"]}

rows = [json.loads(line) for line in open(sys.argv[2])]
with ThreadPoolExecutor(params.n_parallel) as pool, open(sys.argv[3], "w") as out:
    for made in pool.map(answer, rows):
        out.write(json.dumps(made) + chr(10))
"""


def tokens(path: Path) -> int:
    """The output tokens of a file of answers."""
    usages = [json.loads(line)["usage"] for line in path.read_text().splitlines()]
    return sum(usage.get("output_tokens", usage.get("completion_tokens")) for usage in usages)


def speed(command: list[str], answers: Path) -> float:
    """Run a command that writes answers; output tokens a second of its whole time."""
    answers.unlink(missing_ok=True)
    started = time.perf_counter()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return tokens(answers) / (time.perf_counter() - started)


def main() -> None:
    """Compare the two."""
    llmmw = [str(Path(sys.executable).with_name("llmmw"))]
    subprocess.run([*llmmw, "local", "pull"], check=True, stdout=subprocess.DEVNULL)
    listed = subprocess.run(
        [*llmmw, "local", "list", "--json"], check=True, capture_output=True, text=True
    )
    model = next(row["path"] for row in json.loads(listed.stdout) if row["name"] == "smollm2")
    with tempfile.TemporaryDirectory() as folder:
        questions, answers = Path(folder, "questions.jsonl"), Path(folder, "answers.jsonl")
        rows = [
            {
                "prompt": f"Write a long text about {topic}.",
                "max_output_tokens": 128,
                "temperature": 0,
            }
            for topic in TOPICS
        ]
        questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
        files = [str(questions), str(answers)]
        direct = [sys.executable, "-c", _DIRECT, model, *files, str(SLOTS)]
        ours = [*llmmw, "map", files[0], "-o", files[1], "-m", "local:smollm2", "--quiet"]
        taken = medians(
            {"direct": partial(speed, direct, answers), "llmmw": partial(speed, ours, answers)},
            ROUNDS,
        )
    print(f"      direct {taken['direct']:.1f} tokens/s, llmmw map {taken['llmmw']:.1f} tokens/s")
    say("llmmw map / xllamacpp directly", taken["llmmw"] / taken["direct"], 0.95, "x", most=False)


if __name__ == "__main__":
    main()
