/** A container's beginning: by its init, or by the processes that it had on another host. */
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { readPidFile, startDetached, type DetachedProcess } from '../process/detached.ts'
import { writeIdentity } from './container-files.ts'
import { removeLink } from './container-links.ts'
import { whyIn } from './live-move/criu-complaint.ts'
import { CHECKPOINT_FILE, type Checkpoint } from './live-move/checkpoint.ts'
import { imagesFolder, scriptsFolder } from './live-move/image-folder.ts'
import { writeRestoreScripts } from './live-move/restore-scripts.ts'
import { lxcAbilities } from './lxc-abilities.ts'
import { hasBlanks, lxcConfig } from './lxc-config.ts'
import { endLeftovers, LxcContainer, pidFile, recordFile, type LxcRecord } from './lxc-container.ts'
import { whyNot } from './lxc-outcome.ts'
import { readText } from './lxc-processes.ts'
import { writeSeccompProfile } from './seccomp-profile.ts'
import { LXC_PATH, SHOWN_CONSOLE, type LxcPrograms, type LxcSpec } from './lxc-spec.ts'

const START_TIMEOUT_MS = 20_000
/** Of an earlier run. A container that arrives has its console's log already. */
const LEFT = ['lxc.log', 'exit', 'lxc.out']

/** Starts it and returns once its init runs. Fails with what LXC said. Nothing is left of a failed start. */
export async function startContainer(programs: LxcPrograms, spec: LxcSpec): Promise<Result<LxcContainer>> {
  const ready = await clearPlace(spec)
  if (!ready.ok) return ready
  // At a time: each runs a program.
  const [configured, named] = await Promise.all([writeConfig(programs, spec), writeIdentity(programs.nativeDir, spec)])
  if (!configured.ok) return configured
  if (!named.ok) return named
  rmSync(join(spec.folder, 'console.log'), { force: true })
  const words = spec.init !== undefined && hasBlanks(spec.init) ? ['--', ...spec.init] : []
  const command = [programs.lxcStart, '-F', ...commonArguments(spec), ...words]
  // Without newuidmap in sight LXC writes the id map itself, and /etc/subuid need not name every container.
  const started = await startKeeper(programs, spec, { mode: 'run', command, path: '/nonexistent' })
  if (!started.ok) return started
  const container = new LxcContainer(programs, spec.folder, recordOf(spec), started.value)
  if (await container.waitStarted(START_TIMEOUT_MS)) return ok(container)
  return notStarted(container, `LXC did not start ${spec.name}: ${whyNot(spec.folder)}`)
}

/**
 * From the checkpoint in its `imagesFolder`: resolves once its processes run as they did, its cards on the bridge and not yet up
 * (`raiseLinks`). Nothing is left of a failure.
 */
export async function restoreContainer(
  programs: LxcPrograms,
  spec: LxcSpec,
  { criu }: { readonly criu: string },
): Promise<Result<LxcContainer>> {
  const { idBase, folder, rootPath, nics } = spec
  if (idBase === 'privileged') return fail(failure('bad_request', 'A privileged container cannot be restored'))
  const ready = await clearPlace(spec)
  if (!ready.ok) return ready
  // Its cards are made by Stead while it is restored: LXC gives them to CRIU, which cannot make them in another's namespace.
  const configured = await writeConfig(programs, { ...spec, nics: [] }, 'none')
  if (!configured.ok) return configured
  const [images, scripts] = [imagesFolder(folder), scriptsFolder(folder)]
  const checkpoint = JSON.parse(readFileSync(join(images, CHECKPOINT_FILE), 'utf8')) as Checkpoint
  writeRestoreScripts(scripts, {
    ...{ criu, images, rootPath, idBase, nics, checkpoint, nativeDir: programs.nativeDir },
  })
  // CRIU reads on when it is the container's root already. Nobody else comes so far: the folder above is closed.
  for (const name of ['.', ...readdirSync(images)]) chmodSync(join(images, name), name === '.' ? 0o755 : 0o644)
  const command = [programs.lxcCheckpoint, '-r', ...commonArguments(spec), '-D', images]
  const started = await startKeeper(programs, spec, { mode: 'restore', command, path: scripts })
  if (!started.ok) return started
  const container = new LxcContainer(programs, folder, recordOf(spec), started.value)
  if (await container.waitStarted(START_TIMEOUT_MS)) return ok(container)
  const said = whyIn(readText(join(images, 'restore.log'))) || whyNot(folder)
  return notStarted(container, `CRIU did not restore ${spec.name}: ${said}`)
}

async function notStarted(container: LxcContainer, message: string): Promise<Result<never>> {
  const killed = await container.kill()
  return fail(
    failure('hypervisor', message, {
      hint: `More is in ${join(container.folder, 'lxc.log')}`,
      ...(killed.ok ? {} : { cause: killed.error }),
    }),
  )
}

async function clearPlace(spec: LxcSpec): Promise<Result<void>> {
  if (readPidFile(pidFile(spec.folder))) return fail(failure('conflict', `The container ${spec.name} runs already`))
  const cleared = await endLeftovers(recordOf(spec))
  if (!cleared.ok) return cleared
  for (const { hostEnd } of spec.nics) {
    const removed = await removeLink(hostEnd)
    if (!removed.ok) return removed
  }
  return ok()
}

async function writeConfig(programs: LxcPrograms, spec: LxcSpec, console = SHOWN_CONSOLE): Promise<Result<void>> {
  const able = await lxcAbilities(programs)
  if (!able.ok) return able
  const configFolder = join(spec.folder, 'lxc', spec.id)
  mkdirSync(configFolder, { recursive: true })
  const seccompProfile = writeSeccompProfile(configFolder, spec)
  const config = lxcConfig(spec, { nativeDir: programs.nativeDir, console, seccompProfile }, able.value)
  if (!config.ok) return config
  // The container's root user has to be able to walk through it.
  chmodSync(join(spec.folder, 'lxc'), 0o711)
  writeFileSync(join(configFolder, 'config'), config.value, { mode: 0o600 })
  return ok()
}

function startKeeper(
  programs: LxcPrograms,
  spec: LxcSpec,
  how: { readonly mode: 'run' | 'restore'; readonly command: readonly string[]; readonly path: string },
): Promise<Result<DetachedProcess>> {
  const { folder, guestsFolder, rootPath, namespacePid } = spec
  writeFileSync(recordFile(folder), JSON.stringify(recordOf(spec)), { mode: 0o600 })
  for (const left of LEFT) rmSync(join(folder, left), { force: true })
  const places = ['--folder', folder, '--others', guestsFolder, '--root', rootPath]
  return startDetached(join(programs.nativeDir, 'stead-run-guest'), {
    command: join(programs.nativeDir, 'stead-container'),
    args: [how.mode, ...places, '--', ...how.command],
    pidFile: pidFile(folder),
    stdoutPath: join(folder, 'lxc.out'),
    stderrPath: join(folder, 'lxc.out'),
    namespacePid,
    env: { PATH: how.path },
  })
}

function commonArguments({ id, folder }: LxcSpec): readonly string[] {
  return ['-n', id, '-P', LXC_PATH, '-o', join(folder, 'lxc.log'), '-l', 'WARN']
}

function recordOf({ id, cgroup, haltSignal, namespacePid }: LxcSpec): LxcRecord {
  return { id, cgroup, haltSignal, namespacePid }
}
