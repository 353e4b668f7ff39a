/** What a project used, by day; every hour of it as a file. */
import { Button, Group } from '@mantine/core'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { Answered, useAsked } from '../parts/answered.tsx'
import { Dialog } from '../parts/dialog.tsx'
import { bytesText } from '../parts/figures.ts'
import { saveText } from '../parts/save-file.ts'
import { ShortTable } from '../table/short-table.tsx'
import classes from './listing.module.css'
import { USED, usageCsv, usageDays, usageSum } from './usage-days.ts'

export function UsageDialog({ project, onClose }: { project: string; onClose: () => void }) {
  const t = useText()
  const language = useLanguage()
  const asked = useAsked(['usage', project], (client) => client.call(ENDPOINTS['usage.list'], { query: { project } }))
  const number = new Intl.NumberFormat(language, { maximumFractionDigits: 1 })
  const text = (name: (typeof USED)[number], value: number) =>
    name.endsWith('Bytes') ? bytesText(value, language) : number.format(value)
  return (
    <Dialog title={t('usage.title', { name: project })} size="xl" onClose={onClose}>
      <p className={classes.dim}>{t('usage.text')}</p>
      <Answered asked={asked}>
        {({ items }) => (
          <>
            <ShortTable
              label={t('usage.title', { name: project })}
              columns={[t('usage.day'), ...USED.map((name) => ({ text: t(`usage.${name}`), isFigure: true as const }))]}
            >
              {[{ day: t('usage.all'), ...usageSum(items) }, ...usageDays(items)].map(({ day, ...used }, index) => (
                <tr key={day} data-chosen={index === 0 || undefined}>
                  <th scope="row">{day}</th>
                  {USED.map((name) => (
                    <td key={name} data-figure>
                      {text(name, used[name])}
                    </td>
                  ))}
                </tr>
              ))}
            </ShortTable>
            <Group justify="flex-end" mt="md">
              <Button variant="default" onClick={() => saveText(`usage-${project}.csv`, usageCsv(items))}>
                {t('usage.save')}
              </Button>
            </Group>
          </>
        )}
      </Answered>
    </Dialog>
  )
}
