import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PermissionView } from '@stead/api/endpoints/access.ts'
import { permissionsOn } from './guest-permission-paths.ts'

const given = (id: string, path: string, propagate = true) => ({ id, path, propagate }) as PermissionView

test('on a guest count its own permissions, and what its project and the cluster hand down', () => {
  const all = [
    given('cluster', '/'),
    given('not-below', '/', false),
    given('project', '/projects/shop'),
    given('other-project', '/projects/office'),
    given('own', '/guests/web-1', false),
    given('other-guest', '/guests/web-10'),
    given('hosts', '/hosts/h1'),
  ]
  assert.deepEqual(
    permissionsOn({ name: 'web-1', project: 'shop' }, all).map(({ id }) => id),
    ['own', 'project', 'cluster'],
  )
})
