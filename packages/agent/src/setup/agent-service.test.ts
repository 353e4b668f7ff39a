import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { AGENT_UNIT, agentUnit } from './agent-service.ts'

const ROOT = join(import.meta.dirname, '..', '..', '..', '..')
const PLACES = { root: ROOT, stateDir: '/var/lib/stead' }
const hasSystemd = spawnSync('systemd-analyze', ['--version']).status === 0

test(
  'systemd finds nothing wrong with the unit',
  { skip: hasSystemd ? false : 'there is no systemd-analyze on this machine' },
  async (context) => {
    const folder = await mkdtemp(join(tmpdir(), 'stead-unit-'))
    context.after(() => rm(folder, { recursive: true, force: true }))
    await writeFile(join(folder, AGENT_UNIT), agentUnit(PLACES))
    const found = await new Promise<{ code: number; text: string }>((resolve) => {
      const args = ['verify', '--man=no', '--recursive-errors=no', join(folder, AGENT_UNIT)]
      execFile('systemd-analyze', args, { timeout: 60_000 }, (error, out, complaints) =>
        resolve({ code: error ? 1 : 0, text: out + complaints }),
      )
    })
    // Of the machine's own other units it may say what it likes.
    const own = found.text.split('\n').filter((line) => line.includes(AGENT_UNIT))
    assert.deepEqual(own, [])
    assert.equal(found.code, 0, found.text)
  },
)

test('a new start of the agent, and its end, leave everything else of the host running', () => {
  const unit = agentUnit(PLACES)
  for (const line of ['KillMode=process', 'Restart=always', 'OOMPolicy=continue', 'Delegate=yes'])
    assert.ok(unit.split('\n').includes(line), line)
})

test('nothing that would reach into guests is taken from the agent', () => {
  // What seccomp forbids, and no_new_privs, goes on to containers, in which sudo must work; what makes a mount namespace
  // hides the mounts that an earlier start has made.
  const inherited =
    /^(NoNewPrivileges|Restrict|SystemCall|MemoryDeny|LockPersonality|Protect|Private|ReadOnly|Inaccessible)/m
  assert.doesNotMatch(agentUnit(PLACES), inherited)
})

test('what it starts is there', () => {
  const [, program = ''] = /^ExecStart=(\S+) /m.exec(agentUnit(PLACES)) ?? []
  assert.ok(existsSync(program), program)
})
