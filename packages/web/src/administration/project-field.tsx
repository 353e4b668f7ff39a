import { Select } from '@mantine/core'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { useText } from '../i18n/texts.ts'
import { useItems } from '../parts/answered.tsx'

/** Whose an image is; null: the cluster's, for everybody. */
export function ProjectField(props: { value: string | null; onChange: (project: string | null) => void }) {
  const t = useText()
  const projects = useItems(['projects'], (client) => client.call(ENDPOINTS['project.list']))
  return (
    <Select
      label={t('images.project')}
      placeholder={t('images.everybody')}
      data={projects.map(({ name }) => name)}
      value={props.value}
      onChange={props.onChange}
      clearable
    />
  )
}
