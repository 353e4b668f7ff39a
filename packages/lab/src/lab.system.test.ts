/** The lab itself, with a stand-in for the agent: a process that answers HTTP on `agent.sock`. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { PowerStrip } from '@stead/agent/power/power-strip.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { powerSwitchContract } from '@stead/sim/contract/power-switch-contract.ts'
import type { AgentConfig } from './agent-config.ts'
import type { SteadContext } from './context-file.ts'
import type { LabReport } from './lab.ts'
import { labDown } from './lab.ts'
import { leftovers } from './leftovers.ts'
import { labPlaces, powerStripSocket } from './topology.ts'

const STEAD = fileURLToPath(new URL('../../../bin/stead', import.meta.url))
const STAND_IN = `
import { createServer } from 'node:http'
import { readFileSync, rmSync } from 'node:fs'
const { hostId, stateDir } = JSON.parse(readFileSync(process.argv[2], 'utf8'))
rmSync(stateDir + '/agent.sock', { force: true })
const answer = JSON.stringify({ host: hostId, boot: process.env.STEAD_BOOT_ID })
createServer((_, reply) => reply.end(answer)).listen(stateDir + '/agent.sock')
`

const folder = mkdtempSync(join(tmpdir(), 'stead-lab-'))
const standIn = join(folder, 'agent', 'src', 'main.ts')
const env: NodeJS.ProcessEnv = {
  ...process.env,
  STEAD_LAB_ROOT: join(folder, 'labs'),
  STEAD_CONTEXT: join(folder, 'context.json'),
  STEAD_LAB_COMMAND: `${process.execPath} ${standIn}`,
}
// Unique on this machine, so that a test run disturbs no lab and no other test run.
const own = `t${process.pid}`
const labs = { first: `${own}a`, second: `${own}b`, crashed: `${own}c`, pair: `${own}d` }

before(() => {
  mkdirSync(join(folder, 'agent', 'src'), { recursive: true })
  writeFileSync(standIn, STAND_IN)
})

after(async () => {
  try {
    for (const lab of Object.values(labs)) {
      const places = labPlaces(env, lab)
      if (places.ok) await labDown(env, places.value)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

function stead(lab: string, ...args: string[]) {
  const [command = '', ...rest] = args
  const done = spawnSync(STEAD, ['lab', command, '--lab', lab, ...rest], {
    env,
    encoding: 'utf8',
    timeout: 60_000,
  })
  return { code: done.status, output: done.stdout, complaint: done.stderr }
}

function mustDo(lab: string, ...args: string[]): string {
  const done = stead(lab, ...args)
  assert.equal(done.code, 0, `${args.join(' ')}: ${done.complaint}`)
  return done.output
}

const status = (lab: string) => JSON.parse(mustDo(lab, 'status', '--json')) as LabReport
const statusOf = (lab: string, host: string) => status(lab).hosts.find((row) => row.host === host)
const hears = (lab: string, host: string, address: string) =>
  stead(lab, 'exec', host, '--', 'ping', '-c1', '-W1', address).code === 0

/** After a cable is mended the first packet may be lost: the address has to be asked for again. */
const hearsAgain = (lab: string, host: string, address: string) => {
  for (let tries = 0; tries < 10; tries++) if (hears(lab, host, address)) return true
  return false
}

function ask(url: string): Promise<{ host: string; boot: string } | undefined> {
  return new Promise((resolve) => {
    const asked = request(url, { agent: false, timeout: 1000 }, (answer) => {
      let text = ''
      answer.on('data', (part: Buffer) => (text += part.toString()))
      answer.on('end', () => resolve(JSON.parse(text) as { host: string; boot: string }))
    })
    asked.on('timeout', () => asked.destroy())
    asked.on('error', () => resolve(undefined))
    asked.end()
  })
}

async function eventually<T>(what: string, look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  const end = performance.now() + 15_000
  for (;;) {
    const seen = await look()
    if (seen !== undefined && seen !== false) return seen
    assert.ok(performance.now() < end, `not seen in time: ${what}`)
    await delay(25)
  }
}

describe('a lab of three hosts', () => {
  const lab = labs.first

  before(() => mustDo(lab, 'up', '--hosts', '3'))

  it('gives every host an agent and three networks, and the machine none', () => {
    const report = status(lab)
    assert.deepEqual(
      report.hosts.map((host) => host.host),
      ['h1', 'h2', 'h3'],
    )
    for (const host of report.hosts) assert.deepEqual([host.power, host.agent], ['on', 'answers'])
    for (const address of ['10.66.0.2', '10.77.0.3', '10.88.0.2']) assert.ok(hearsAgain(lab, 'h1', address), address)
    assert.equal(stead(lab, 'client', '--', 'ping', '-c1', '-W1', '10.66.0.3').code, 0)
    const links = spawnSync('ip', ['-o', 'link'], { encoding: 'utf8' }).stdout
    assert.doesNotMatch(links, /lanbr0|san0|ran0|p-h1|sw0/)
  })

  it('writes a configuration that names all hosts, readable by its owner alone', () => {
    const file = join(statusOf(lab, 'h2')?.folder ?? '', 'agent.json')
    const config = JSON.parse(readFileSync(file, 'utf8')) as AgentConfig
    assert.equal(config.hostId, 'h2')
    assert.equal(config.order, 2)
    assert.deepEqual(config.etcdMembers, ['h1', 'h2', 'h3'])
    assert.deepEqual(
      config.members.map((member) => member.addresses.ran),
      ['10.88.0.1', '10.88.0.2', '10.88.0.3'],
    )
    assert.match(config.clusterKey, /^[0-9a-f]{64}$/)
    assert.equal(statSync(file).mode & 0o777, 0o600)
  })

  it('lets hosts make taps', () => {
    mustDo(lab, 'exec', 'h1', '--', 'ip', 'tuntap', 'add', 'tap7', 'mode', 'tap')
    mustDo(lab, 'exec', 'h1', '--', 'ip', 'link', 'set', 'tap7', 'master', 'lanbr0')
  })

  it('tells the command line where the cluster is', () => {
    const context = JSON.parse(readFileSync(env['STEAD_CONTEXT'] ?? '', 'utf8')) as SteadContext
    assert.equal(context.name, lab)
    assert.deepEqual(
      context.endpoints.map((endpoint) => endpoint.host),
      ['h1', 'h2', 'h3'],
    )
    assert.ok(context.endpoints.every((endpoint) => existsSync(endpoint.unix)))
  })

  it('passes on the exit code and the output of what it runs', () => {
    assert.equal(stead(lab, 'client', '--', 'sh', '-c', 'exit 9').code, 9)
    assert.equal(stead(lab, 'exec', 'h2', '--', 'sh', '-c', 'exit 7').code, 7)
    assert.equal(mustDo(lab, 'exec', 'h2', '--', 'hostname'), 'h2\n')
    assert.equal(stead(lab, 'client', 'sh', '-c', 'kill -9 $$').code, 137)
  })

  it('refuses what cannot be with a reason and an exit code', () => {
    assert.equal(stead(lab, 'power-off', 'h9').code, 4)
    assert.match(stead(lab, 'power-off', 'h9').complaint, /no host 'h9'[\s\S]*h1, h2, h3/)
    assert.equal(stead(`${own}x`, 'status').code, 4)
    assert.equal(stead('Not-A-Lab', 'status').code, 2)
    assert.equal(stead(lab, 'cut', 'h1', 'wan').code, 2)
    assert.equal(stead(lab, 'up', '--hosts', '0').code, 2)
    assert.equal(stead(lab, 'up', '--hosts', 'many').code, 2)
    assert.equal(stead(lab, 'kill', 'h1', 'editor').code, 2)
    assert.equal(stead(lab, 'kill', 'h1', 'etcd').code, 4)
    assert.equal(stead(lab, 'cut-between', 'h1', 'h1').code, 2)
    const again = stead(lab, 'up', '--json')
    assert.equal(again.code, 5)
    assert.match((JSON.parse(again.complaint) as { error: { message: string } }).error.message, /up already/)
  })

  it('cuts and mends one cable', () => {
    mustDo(lab, 'cut', 'h1', 'san')
    assert.equal(hears(lab, 'h1', '10.77.0.2'), false)
    assert.equal(hearsAgain(lab, 'h1', '10.88.0.2'), true)
    assert.deepEqual(statusOf(lab, 'h1')?.cables, { lan: 'plugged', san: 'cut', ran: 'plugged' })
    mustDo(lab, 'mend', 'h1', 'san')
    assert.equal(hearsAgain(lab, 'h1', '10.77.0.2'), true)
  })

  it('cuts two hosts from each other and from no one else', () => {
    mustDo(lab, 'cut-between', 'h1', 'h2')
    mustDo(lab, 'cut-between', 'h1', 'h3')
    for (const network of ['66', '77', '88']) assert.equal(hears(lab, 'h1', `10.${network}.0.2`), false)
    assert.equal(hearsAgain(lab, 'h2', '10.77.0.3'), true)
    assert.deepEqual(status(lab).cutBetween, [
      ['h1', 'h2'],
      ['h1', 'h3'],
    ])
    mustDo(lab, 'mend', 'h2')
    assert.equal(hearsAgain(lab, 'h1', '10.77.0.2'), true)
    assert.equal(hears(lab, 'h1', '10.77.0.3'), false)
    mustDo(lab, 'mend', 'h1')
    assert.deepEqual(status(lab).cutBetween, [])
  })

  it('freezes a host, and the loopback port then answers from another', async () => {
    const url = status(lab).url ?? ''
    assert.ok((await ask(url)) !== undefined)
    mustDo(lab, 'freeze', 'h1')
    assert.equal(statusOf(lab, 'h1')?.power, 'frozen')
    const other = await eventually('an answer from a living host', () => ask(url))
    assert.notEqual(other.host, 'h1')
    mustDo(lab, 'thaw', 'h1')
    await eventually('h1 answers again', () => statusOf(lab, 'h1')?.agent === 'answers' || undefined)
  })

  it('kills the agent, which is started again in the same boot', async () => {
    const socket = `${statusOf(lab, 'h2')?.folder}/agent.sock`
    const askH2 = () => askSocket(socket)
    const earlier = await askH2()
    const [pid] = (JSON.parse(mustDo(lab, 'kill', 'h2', 'agent', '--json')) as { pids: number[] }).pids
    await eventually('the killed agent is gone', () => !existsSync(`/proc/${pid}/stat`) || undefined)
    const later = await eventually('the agent answers again', askH2)
    assert.equal(later.boot, earlier?.boot)
  })

  it('pulls the plug: nothing of the host is left but its data and its cut cables', async () => {
    const before = await askSocket(`${statusOf(lab, 'h3')?.folder}/agent.sock`)
    mustDo(lab, 'exec', 'h3', '--', 'sh', '-c', 'sleep 1000 >/dev/null 2>&1 & ip tuntap add tap9 mode tap')
    mustDo(lab, 'cut', 'h3', 'ran')
    mustDo(lab, 'power-off', 'h3')
    const off = statusOf(lab, 'h3')
    assert.deepEqual([off?.power, off?.agent], ['off', 'silent'])
    assert.ok(existsSync(join(off?.folder ?? '', 'agent.json')))
    assert.equal(hears(lab, 'h1', '10.66.0.3'), false)
    assert.equal(stead(lab, 'power-off', 'h3').code, 5)
    assert.equal(stead(lab, 'freeze', 'h3').code, 5)
    mustDo(lab, 'power-on', 'h3')
    const after = await eventually('the agent of h3', () => askSocket(`${off?.folder}/agent.sock`))
    assert.notEqual(after.boot, before?.boot)
    assert.equal(hearsAgain(lab, 'h1', '10.66.0.3'), true)
    assert.equal(hears(lab, 'h1', '10.88.0.3'), false)
    assert.notEqual(stead(lab, 'exec', 'h3', '--', 'ip', 'link', 'show', 'tap9').code, 0)
    mustDo(lab, 'mend', 'h3')
    assert.equal(hearsAgain(lab, 'h1', '10.88.0.3'), true)
  })

  it('pulls the plug of a frozen host', () => {
    mustDo(lab, 'freeze', 'h2')
    mustDo(lab, 'power-off', 'h2')
    assert.equal(statusOf(lab, 'h2')?.power, 'off')
    mustDo(lab, 'power-on', 'h2')
  })

  const places = { lab, folder: join(folder, 'labs', lab) }
  powerSwitchContract('of a lab', () => ({
    power: new PowerStrip(powerStripSocket(places)),
    ...{ host: 'h2' as HostId, other: 'h1' as HostId },
    until: async (host, state) => {
      await eventually(`${host} is ${state}`, () => statusOf(lab, host)?.power === state || undefined)
    },
  }))

  it('gives its power strip to nobody but root, and tells its hosts where it is', () => {
    const socket = powerStripSocket(places)
    assert.equal(statSync(socket).mode & 0o777, 0o600)
    const environment = mustDo(lab, 'exec', 'h1', '--', 'cat', '/proc/1/environ')
    assert.ok(environment.split('\0').includes(`STEAD_POWER_STRIP=${socket}`))
  })

  it('is not disturbed by a second lab, nor by its end', async () => {
    mustDo(labs.second, 'up', '--hosts', '1')
    assert.notEqual(status(labs.second).url, status(lab).url)
    assert.equal(hears(labs.second, 'h1', '10.77.0.2'), false)
    mustDo(labs.second, 'power-off', 'h1')
    assert.equal(statusOf(lab, 'h1')?.power, 'on')
    mustDo(labs.second, 'down')
    assert.deepEqual(await leftovers(labs.second, env), [])
    assert.ok(status(lab).hosts.every((host) => host.agent === 'answers'))
    assert.equal(hearsAgain(lab, 'h1', '10.77.0.2'), true)
  })

  it('leaves nothing behind, what its users started included', async () => {
    mustDo(lab, 'client', '--', 'sh', '-c', 'sleep 1000 >/dev/null 2>&1 &')
    mustDo(lab, 'freeze', 'h1')
    mustDo(lab, 'down')
    assert.deepEqual(await leftovers(lab, env), [])
    assert.equal(existsSync(env['STEAD_CONTEXT'] ?? ''), false)
    mustDo(lab, 'down')
  })
})

describe('a pair with a witness', () => {
  it('has three voters, and the witness no pool', () => {
    mustDo(labs.pair, 'up', '--hosts', '2', '--witness', '--no-wait')
    const witness = statusOf(labs.pair, 'witness')
    assert.equal(witness?.role, 'witness')
    const config = JSON.parse(readFileSync(join(witness?.folder ?? '', 'agent.json'), 'utf8')) as AgentConfig
    assert.deepEqual(config.etcdMembers, ['h1', 'h2', 'witness'])
    assert.deepEqual(config.pools, [])
    mustDo(labs.pair, 'down')
  })
})

describe('a lab whose start was interrupted', () => {
  const lab = labs.crashed
  const labFolder = join(folder, 'labs', lab)

  async function killWhileStarting(moment: () => boolean): Promise<void> {
    const up = spawn(STEAD, ['lab', 'up', '--lab', lab, '--hosts', '3'], { env, stdio: 'ignore' })
    const ended = new Promise((resolve) => up.on('exit', resolve))
    await eventually('the moment to kill the tool', () => moment() || up.exitCode !== null || undefined)
    up.kill('SIGKILL')
    await ended
  }

  const moments: Record<string, () => boolean> = {
    'before the networks': () => existsSync(labFolder),
    'between the networks': () => existsSync(`/run/netns/stead-${lab}-san`),
    'between the hosts': () => existsSync(join(labFolder, 'hosts', 'h1', 'init.log')),
    'while it waits for the agents': () => existsSync(join(labFolder, 'forwarder.json')),
  }
  for (const [name, moment] of Object.entries(moments)) {
    it(`is removed whole: killed ${name}`, async () => {
      await killWhileStarting(moment)
      mustDo(lab, 'down')
      assert.deepEqual(await leftovers(lab, env), [])
    })
  }

  it('is removed although its notes are half-written', async () => {
    await killWhileStarting(() => existsSync(join(labFolder, 'hosts', 'h1', 'init.log')))
    writeFileSync(join(labFolder, 'lab.json'), '{"phase":"up","hos')
    mustDo(lab, 'down')
    assert.deepEqual(await leftovers(lab, env), [])
  })

  it('starts anew with the next up', async () => {
    await killWhileStarting(() => existsSync(join(labFolder, 'hosts', 'h1', 'init.log')))
    mustDo(lab, 'up', '--hosts', '2')
    assert.deepEqual(
      status(lab).hosts.map((host) => [host.host, host.agent]),
      [
        ['h1', 'answers'],
        ['h2', 'answers'],
      ],
    )
    mustDo(lab, 'down')
    assert.deepEqual(await leftovers(lab, env), [])
  })
})

function askSocket(socketPath: string): Promise<{ boot: string } | undefined> {
  return new Promise((resolve) => {
    const asked = request({ socketPath, agent: false, timeout: 1000 }, (answer) => {
      let text = ''
      answer.on('data', (part: Buffer) => (text += part.toString()))
      answer.on('end', () => resolve(JSON.parse(text) as { boot: string }))
    })
    asked.on('timeout', () => asked.destroy())
    asked.on('error', () => resolve(undefined))
    asked.end()
  })
}
