import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { aliasOfQ35 } from './machine-type.ts'

describe('the machine of a new guest', () => {
  it('is what QEMU calls q35 now, by its full name', () => {
    const help = `Supported machines are:
pc-q35-7.2           Standard PC (Q35 + ICH9, 2009)
q35                  Standard PC (Q35 + ICH9, 2009) (alias of pc-q35-10.0)
pc-q35-10.0          Standard PC (Q35 + ICH9, 2009)
`
    assert.equal(aliasOfQ35(help), 'pc-q35-10.0')
    assert.equal(aliasOfQ35('Supported machines are:\n'), undefined)
  })
})
