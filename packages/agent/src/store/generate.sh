#!/bin/sh
# Writes generated/etcd.ts from etcd.proto. Needs protoc (Debian: protobuf-compiler) and the installed packages.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
plugin="$here/../../../../node_modules/.bin/protoc-gen-ts_proto"
options=outputServices=grpc-js,esModuleInterop=true,importSuffix=.ts,env=node,forceLong=bigint,enumsAsLiterals=true
options=$options,oneof=unions-value,outputJsonMethods=false,outputClientImpl=false,useExactTypes=false,removeEnumPrefix=false
options=$options,exportCommonSymbols=false,useAbortSignal=false,noDefaultsForOptionals=false,unrecognizedEnum=true
mkdir -p "$here/generated"
protoc --plugin=protoc-gen-ts_proto="$plugin" --ts_proto_out="$here/generated" --ts_proto_opt="$options" \
  --proto_path="$here" etcd.proto
