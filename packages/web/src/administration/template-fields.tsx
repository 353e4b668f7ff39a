import { Group, Textarea } from '@mantine/core'
import { useText } from '../i18n/texts.ts'
import { TextField } from '../parts/text-field.tsx'
import type { TemplateForm } from './template-form.ts'

/** What an archive does not say of itself when it becomes a template of containers. */
export function TemplateFields(props: { form: TemplateForm; onChange: (form: TemplateForm) => void }) {
  const { form, onChange } = props
  const t = useText()
  const field = (name: keyof TemplateForm) => ({
    value: form[name],
    onChange: (value: string) => onChange({ ...form, [name]: value }),
  })
  return (
    <>
      <Group grow align="start">
        <TextField label={t('images.version')} placeholder={t('images.versionToday')} {...field('version')} />
        <TextField label={t('images.init')} placeholder="/sbin/init" {...field('init')} />
        <TextField label={t('images.haltSignal')} placeholder="SIGRTMIN+3" {...field('haltSignal')} />
      </Group>
      <Textarea
        label={t('images.signature')}
        description={t('images.signatureText')}
        value={form.signature}
        onChange={(event) => onChange({ ...form, signature: event.currentTarget.value })}
        autosize
        minRows={2}
        maxRows={8}
        spellCheck={false}
      />
    </>
  )
}
