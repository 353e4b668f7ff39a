import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EMPTY_TEMPLATE, templateOf } from './template-form.ts'

test('what is empty is left to the cluster', () => {
  assert.deepEqual(templateOf(EMPTY_TEMPLATE), {})
  assert.deepEqual(templateOf({ ...EMPTY_TEMPLATE, version: ' 12.4 ', init: '/sbin/init  --switched' }), {
    version: '12.4',
    init: ['/sbin/init', '--switched'],
  })
})
