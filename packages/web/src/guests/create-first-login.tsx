import { Stack, Switch } from '@mantine/core'
import { useText } from '../i18n/texts.ts'
import { Panel } from '../parts/page.tsx'
import { CloudInitFields } from './cloud-init-fields.tsx'
import type { CloudInitForm } from './create-cloud-init.ts'
import type { FieldsProps } from './create-page.tsx'

/** What cloud-init tells it at its first boot: who may log in, which address it has. */
export function CreateFirstLogin({ form, onChange, complaint }: FieldsProps) {
  const t = useText()
  const { cloudInit } = form
  const set = (part: Partial<CloudInitForm>) => onChange({ cloudInit: { ...cloudInit, ...part } })
  return (
    <Panel title={t('create.firstLogin')}>
      <Stack>
        <Switch
          label={t('create.cloudInit')}
          description={t('create.cloudInitText')}
          checked={cloudInit.isWanted}
          onChange={(event) => set({ isWanted: event.currentTarget.checked })}
        />
        {cloudInit.isWanted ? (
          <CloudInitFields
            form={cloudInit}
            name={form.name}
            onChange={set}
            complaint={(path) => complaint(`media.cloudInit.${path}`)}
          />
        ) : null}
      </Stack>
    </Panel>
  )
}
