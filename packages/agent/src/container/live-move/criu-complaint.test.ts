import assert from 'node:assert/strict'
import { test } from 'node:test'
import { whyIn } from './criu-complaint.ts'

/** Of CRIU 3.17.1 on Linux 6.18. */
const OF_3_17 = `Error (criu/util.c:642): exited, status=1
Error (criu/util.c:642): exited, status=1
Error (criu/vdso.c:381): vdso: Unexpected rt vDSO area bounds
Error (criu/vdso.c:613): vdso: Failed to fill self vdso symtable
Error (criu/kerndat.c:1615): kerndat_vdso_fill_symtable failed when initializing kerndat.
Error (criu/crtools.c:268): Could not initialize kernel features detection.
`

test('why CRIU cannot is said by the first of its errors, each once, without places in its source', () => {
  assert.equal(whyIn(OF_3_17), 'vdso: Unexpected rt vDSO area bounds; vdso: Failed to fill self vdso symtable')
  assert.equal(whyIn('(00.012345) Error (criu/tty.c:1): tty: no\n(00.02) Error (criu/tty.c:1): tty: no'), 'tty: no')
  assert.equal(whyIn('the dumped process lives\n'), 'the dumped process lives')
  assert.equal(whyIn(`Error (a.c:1): ${'x'.repeat(500)}`).length, 121)
  assert.equal(whyIn(''), '')
})
