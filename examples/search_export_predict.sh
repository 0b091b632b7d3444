#!/bin/sh
# Search, take the most accurate network of the front away, and ask it about examples.
#
#     examples/search_export_predict.sh SPEC FOLDER EXAMPLES [DATA]
#
# SPEC: a study. FOLDER: where the network goes. EXAMPLES: what it is asked about. DATA: a file or folder that is
# registered first, under the name that SPEC gives.
set -eu
spec=$1 folder=$2 examples=$3
if [ $# -gt 3 ]; then
    nas data add "$4" --name "$(sed -n 's/^dataset: *\([^ ]*\).*/\1/p' "$spec")"
fi
best='import json, sys
study = json.load(sys.stdin)
member = max(study["front"], key=lambda member: member["values"]["accuracy"])
print(study["study"], member["number"])'
set -- $(nas search "$spec" --json | python -c "$best")
nas trial export "$1" "$2" --format onnx --format code --format torch --format card -o "$folder"
nas predict "$folder" "$examples" --limit 5
