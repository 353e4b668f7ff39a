/** The charts in a real browser: what was measured of guests, hosts and pools, and what is missing of it. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { suite, test } from 'node:test'
import type { SimulatedCluster } from '@stead/agent/backend/simulated-cluster-fixture.ts'
import { measureSimulatedCluster } from '@stead/agent/backend/simulated-metrics-fixture.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import type { TestBrowser } from './support/browser.ts'
import { simulatedPages } from './support/simulated-pages.ts'

suite('charts in the web interface', { timeout: 240_000 }, () => {
  let cluster: SimulatedCluster
  let browser: TestBrowser

  simulatedPages({ isSignedIn: true }, async (pages) => {
    ;({ cluster, browser } = pages)
    await measureSimulatedCluster(pages.context, cluster)
  })

  const charts = async (path: string) => {
    await browser.page.goto(path)
    await browser.page.getByRole('tab', { name: 'Charts' }).click()
  }
  const chart = (name: string) => browser.page.getByRole('figure', { name })
  const downloaded = async (button: string) => {
    const waiting = browser.page.waitForEvent('download')
    await browser.press(button)
    const file = await waiting
    return { name: file.suggestedFilename(), bytes: readFileSync(await file.path()) }
  }

  test('a guest shows its hour, as lines and as a table, in light and dark', async () => {
    await charts('/guests/orders-db')
    for (const name of ['Processors kept busy', 'Memory', 'Network', 'Storage requests', 'Storage latency'])
      await chart(name).locator('canvas').waitFor()
    await browser.page.getByRole('img', { name: /^Storage latency: read 0\.15 ms/ }).waitFor()
    await chart('Memory').getByText('As a table').click()
    await chart('Memory').getByRole('cell', { name: /GiB/ }).first().waitFor()
    await browser.check('charts of a guest')
    await browser.picture('guest-charts')
    await browser.page.emulateMedia({ colorScheme: 'dark' })
    await charts('/guests/orders-db')
    await chart('Memory').locator('canvas').waitFor()
    await browser.check('charts of a guest, dark')
    await browser.picture('guest-charts-dark')
    await browser.page.emulateMedia({ colorScheme: 'light' })
    await charts('/guests/orders-db')
    await chart('Memory').locator('canvas').waitFor()
  })

  test('dragging looks closer, and one comes back to the present', async () => {
    const box = (await chart('Memory').locator('.u-over').boundingBox())!
    const { mouse } = browser.page
    await mouse.move(box.x + box.width * 0.4, box.y + 50)
    await mouse.down()
    await mouse.move(box.x + box.width * 0.6, box.y + 50, { steps: 4 })
    await mouse.up()
    await browser.page.getByText('Goes on by itself').waitFor({ state: 'detached' })
    await chart('Memory').locator('canvas').waitFor()
    await browser.page.getByText('1 hour', { exact: true }).click()
    await browser.see('Goes on by itself')
    // The hour before is not wholly without figures: it ended when the test began.
    await browser.press('Earlier')
    await browser.press('Earlier')
    await browser.see('Nothing was measured in this time')
    await browser.check('nothing measured')
    await browser.page.getByText('1 hour', { exact: true }).click()
    await chart('Memory').waitFor()
  })

  test('several guests share the charts, and are taken along as a table and as a picture', async () => {
    await browser.page.getByRole('combobox', { name: 'Compare with' }).click()
    await browser.page.getByRole('option', { name: 'web-1' }).click()
    await browser.page.getByRole('option', { name: 'mail' }).click()
    await browser.page.keyboard.press('Escape')
    await chart('Processors kept busy').getByText('mail').first().waitFor()
    await browser.check('compared')
    await browser.picture('charts-compared')
    const table = await downloaded('CSV')
    assert.match(table.name, /^orders-db-web-1-mail-.*\.csv$/)
    const lines = table.bytes.toString().split('\r\n')
    assert.match(lines[0] ?? '', /^time,orders-db cpuCores,.*,web-1 cpuCores,.*,mail cpuCores,/)
    assert.ok(lines.length > 300)
    const picture = await downloaded('PNG')
    assert.deepEqual([...picture.bytes.subarray(1, 4)], [...Buffer.from('PNG')])
    assert.ok(picture.bytes.length > 20_000)
  })

  test('a host has charts of itself and of its pools, with the line of 10 %', async () => {
    await charts('/hosts/h1')
    await chart('Storage load').getByText('dashed red: 10 %').waitFor()
    await browser.check('charts of a host')
    await browser.picture('host-charts')
    await browser.page
      .getByText(/^Pool /)
      .first()
      .click()
    await chart('Space in use').waitFor()
    await browser.check('charts of a pool')
  })

  test('the page of storage shows how busy each pool is, and because of whom', async () => {
    await browser.page.goto('/volumes')
    const load = browser.page.getByRole('region', { name: 'Storage load' })
    await load.getByText('Keep it below 10 %').waitFor()
    await load.getByRole('list', { name: 'Who causes it' }).first().getByRole('link').first().waitFor()
    await browser.check('load of the pools')
    await browser.picture('storage-load')
  })

  test('charts are in the language of the user', async () => {
    for (const [language, tab, memory] of [
      ['fr', 'Graphiques', 'Mémoire'],
      ['pl', 'Wykresy', 'Pamięć'],
    ] as const) {
      await browser.page.evaluate((tag) => localStorage.setItem('stead.language', tag), language)
      await browser.page.goto('/guests/orders-db')
      await browser.page.getByRole('tab', { name: tab }).click()
      await chart(memory).locator('canvas').waitFor()
      await browser.check(`charts in ${language}`)
    }
    await browser.page.evaluate(() => localStorage.setItem('stead.language', 'en'))
  })

  test('a host that is down is named where its part is missing', async () => {
    await charts('/guests/orders-db')
    // Not the guest's own, whose figures would be gone, and not the one that is asked.
    const { grants, guests } = cluster.backend.mirror.state
    const guest = [...guests.values()].find(({ value }) => value.name === 'orders-db')!.value.id
    const host = (['h2', 'h3'] as HostId[]).find((id) => grants.get(guest)?.value.host !== id)!
    cluster.world.host(host).powerOff()
    await browser.see(new RegExp(`What ${host} measured is missing here`))
    await chart('Memory').waitFor()
    await browser.check('a part is missing')
  })
})
