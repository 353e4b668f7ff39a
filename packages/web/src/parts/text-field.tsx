import { TextInput, type TextInputProps } from '@mantine/core'
import { useText } from '../i18n/texts.ts'

export interface TextFieldProps extends Omit<TextInputProps, 'value' | 'onChange'> {
  readonly value: string
  readonly onChange: (value: string) => void
}

export function TextField({ onChange, ...props }: TextFieldProps) {
  return <TextInput autoComplete="off" onChange={(event) => onChange(event.currentTarget.value)} {...props} />
}

/** Where a dialog begins that makes something. */
export function NameField(props: TextFieldProps) {
  const t = useText()
  return <TextField label={t('word.name')} data-autofocus {...props} />
}
