import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { idMapLines } from './id-maps.ts'
import { lxcConfig } from './lxc-config.ts'
import type { LxcSpec } from './lxc-spec.ts'

const SURROUNDINGS = { nativeDir: '/usr/lib/stead', console: '/run/console' }
const SPEC: LxcSpec = {
  id: 'g1',
  name: 'web',
  folder: '/state/guests/g1',
  guestsFolder: '/state/guests',
  rootPath: '/state/guests/g1/rootfs',
  idBase: 1_000_000,
  nesting: false,
  nics: [],
  nameservers: [],
  searchDomains: [],
  mounts: [{ source: '/srv/my data', target: '/data', readOnly: true }],
  devices: [{ path: '/dev/dri/renderD128', type: 'c', major: 226, minor: 128 }],
  haltSignal: 'SIGRTMIN+3',
  limitLines: [],
  namespacePid: 0,
  cgroup: 'stead-g1',
}

function lines(more: Partial<LxcSpec> = {}): readonly string[] {
  const config = lxcConfig({ ...SPEC, ...more }, SURROUNDINGS, { apparmor: false })
  assert.ok(config.ok)
  return config.value.split('\n')
}

describe('the configuration of a container', () => {
  test('is unprivileged unless said otherwise', () => {
    assert.ok(lines().includes('lxc.idmap = u 0 1000000 65536'))
    assert.ok(lines().includes('lxc.rootfs.options = idmap=container'))
    const privileged = lines({ idBase: 'privileged' })
    assert.ok(!privileged.some((line) => line.includes('idmap')))
    assert.ok(privileged.some((line) => line.startsWith('lxc.seccomp.profile')))
  })

  test('never shares the host’s network, without NICs neither', () => {
    assert.ok(lines().includes('lxc.net.0.type = empty'))
  })

  test('keeps blanks of paths, and devices go by both families of control groups', () => {
    assert.ok(lines().includes('lxc.mount.entry = /srv/my\\040data data none bind,create=dir,ro,idmap=container 0 0'))
    for (const key of ['cgroup', 'cgroup2']) assert.ok(lines().includes(`lxc.${key}.devices.allow = c 226:128 rwm`))
  })

  test('takes no value that would be a line of its own', () => {
    const config = lxcConfig({ ...SPEC, name: 'x\nlxc.idmap =' }, SURROUNDINGS, { apparmor: false })
    assert.equal(config.ok ? '' : config.error.code, 'bad_request')
  })

  test('refuses ids of the host’s own users', () => {
    for (const idBase of [0, 1000, 2 ** 32 - 2, 100_000.5]) assert.ok(!idMapLines(idBase).ok, String(idBase))
  })
})
