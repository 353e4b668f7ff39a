/** A template of containers whose init starts the recorder of native/recorder.c. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildBusyboxRoot } from '@stead/cli/template-build/busybox-root.ts'

/** In the container's root. */
export const RECORDS_FILE = '/var/records'
const BUILD_MS_MAX = 60_000
const INTERVAL_MS = 50
/** 16 MiB. */
const SLOTS = 4_096

/** The file has all its blocks before the first record, so that no record moves anything of the file system. Init's own
 * words on the console come first: a record has a line of its own. */
const START = `#!/bin/sh
[ "$1" = start ] || exit 0
if [ ! -s ${RECORDS_FILE} ]; then
  dd if=/dev/zero of=${RECORDS_FILE}.new bs=4096 count=${SLOTS} 2>/dev/null
  sync ${RECORDS_FILE}.new
  mv ${RECORDS_FILE}.new ${RECORDS_FILE}
  sync -f ${RECORDS_FILE}
fi
(sleep 1; echo; exec /usr/sbin/recorder append ${RECORDS_FILE} ${INTERVAL_MS} ${SLOTS}) > /dev/console 2>&1 &
`

/** The archive; `work` is an empty folder for it. */
export async function buildRecorderTemplate(work: string, recorder: string): Promise<string> {
  await buildBusyboxRoot(work, AbortSignal.timeout(BUILD_MS_MAX))
  const root = join(work, 'root')
  copyFileSync(recorder, join(root, 'usr/sbin/recorder'))
  mkdirSync(join(root, 'etc/rc.d'))
  writeFileSync(join(root, 'etc/rc.d/S50recorder'), START, { mode: 0o755 })
  const archive = join(work, 'recorder.tar.gz')
  execFileSync('tar', ['-C', root, '--owner=0', '--group=0', '--numeric-owner', '-czf', archive, '.'])
  return archive
}
