/**
 * Whether this host's kernel and CRIU can really dump and restore: a trial with a process of no importance, in namespaces of its
 * own that end with it. It says nothing of a container with more than that trial had; it is the least that a live move needs.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { whyIn } from './criu-complaint.ts'

const run = promisify(execFile)
const TRIAL_TIMEOUT_MS = 20_000

export type LiveMoveTrial =
  | { readonly possible: true; readonly version: string }
  | { readonly possible: false; readonly version: string | undefined; readonly reason: string }

/** What is printed last names the step that failed. */
const SCRIPT = `
criu=$1; folder=$2
# CRIU connects to itself to learn what the kernel can do.
ip link set lo up
step() { echo "step $1"; }
step check; "$criu" check >&2 || exit 1
setsid sleep 1000 </dev/null >/dev/null 2>&1 &
pid=$!
sleep 0.1
step dump; "$criu" dump -t $pid -D "$folder" -v1 -o dump.log || { grep Error "$folder/dump.log" >&2; exit 1; }
wait $pid 2>/dev/null
[ ! -e /proc/$pid ] || { echo "the dumped process lives" >&2; exit 1; }
step restore; "$criu" restore -d -D "$folder" -v1 -o restore.log || { grep Error "$folder/restore.log" >&2; exit 1; }
grep -q sleep /proc/$pid/cmdline || { echo "the restored process is not there" >&2; exit 1; }
step done
`

/** Takes up to 20 s and leaves nothing behind. */
export async function tryLiveMove(criu = '/usr/sbin/criu'): Promise<LiveMoveTrial> {
  let version: string | undefined
  try {
    version = /Version: (\S+)/.exec((await run(criu, ['--version'], { timeout: 5_000 })).stdout)?.[1]
  } catch {
    return { possible: false, version, reason: 'CRIU is not installed' }
  }
  const folder = await mkdtemp(join(tmpdir(), 'stead-live-move-'))
  try {
    const spaces = ['--pid', '--fork', '--mount', '--mount-proc', '--net', '--ipc', '--uts', '--kill-child']
    await run('unshare', [...spaces, 'sh', '-c', SCRIPT, 'sh', criu, folder], {
      timeout: TRIAL_TIMEOUT_MS,
      killSignal: 'SIGKILL',
    })
    return { possible: true, version: version ?? 'unknown' }
  } catch (error) {
    const { stdout = '', stderr = '', killed } = error as { stdout?: string; stderr?: string; killed?: boolean }
    const step = stdout.trim().split('\n').at(-1)?.replace('step ', '') || 'start'
    const said = killed ? 'it did not end in time' : whyIn(stderr)
    return { possible: false, version, reason: `CRIU ${version}, ${step}: ${said || 'no reason given'}` }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
