{{- define "tollstream.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "tollstream.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tollstream.labels" -}}
{{ include "tollstream.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "tollstream.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "tollstream.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "tollstream.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end -}}
{{- end }}

{{/* The port of /metrics, /healthz, /readyz and /v1. */}}
{{- define "tollstream.port" -}}9464{{- end }}

{{/* Files of a TLS section, as settings; the argument is the section of the values and a folder. */}}
{{- define "tollstream.tls" -}}
{{- $files := dict -}}
{{- range $setting, $key := dict "ca_file" .tls.ca "cert_file" .tls.cert "key_file" .tls.key -}}
{{- if $key }}{{ $_ := set $files $setting (printf "%s/%s" $.folder $key) }}{{ end -}}
{{- end -}}
{{- toJson $files -}}
{{- end }}

{{/* tollstream.yaml: the settings of the values, and those that are the chart's. */}}
{{- define "tollstream.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $http := dict "listen" (printf "0.0.0.0:%s" (include "tollstream.port" .)) -}}
{{- $_ := set $config "http" (mergeOverwrite (default dict $config.http) $http) -}}
{{- if .Values.catalog.existingConfigMap -}}
{{- $_ := set $config "catalog" "/etc/tollstream/catalog/catalog.yaml" -}}
{{- end -}}
{{- range $server := list "kafka" "clickhouse" -}}
{{- $tls := (index $.Values $server).tls -}}
{{- if $tls.existingSecret -}}
{{- $files := include "tollstream.tls" (dict "tls" $tls "folder" (printf "/etc/tollstream/%s-tls" $server)) | fromJson -}}
{{- $section := index $config $server -}}
{{- $_ := set $section "tls" (mergeOverwrite (default dict $section.tls) $files) -}}
{{- end -}}
{{- end -}}
{{- toYaml $config -}}
{{- end }}

{{/* The Secret of a login: the given one, or the chart's; the argument has login, name and root. */}}
{{- define "tollstream.loginSecret" -}}
{{- if .login.existingSecret -}}
{{ .login.existingSecret }}
{{- else if .login.password -}}
{{ include "tollstream.fullname" .root }}-{{ .name }}
{{- end -}}
{{- end }}

{{/* The key of a login's password in that Secret. */}}
{{- define "tollstream.loginKey" -}}
{{- if .existingSecret }}{{ .key }}{{ else }}password{{ end -}}
{{- end }}

{{/* What the schema cannot say of values that do not go together. */}}
{{- define "tollstream.check" -}}
{{- range $name, $login := merge (dict "kafka.sasl" .Values.kafka.sasl) (omit .Values.clickhouse "tls") -}}
{{- if and $login.existingSecret $login.password -}}
{{- fail (printf "%s: give existingSecret or password, not both" $name) -}}
{{- end -}}
{{- end -}}
{{- range $server := list "kafka" "clickhouse" -}}
{{- $tls := (index $.Values $server).tls -}}
{{- $enabled := (default dict (index $.Values.config $server).tls).enabled -}}
{{- if and $tls.existingSecret (not $enabled) -}}
{{- fail (printf "%s.tls.existingSecret is given, but config.%s.tls.enabled is not true" $server $server) -}}
{{- end -}}
{{- if and (not $tls.existingSecret) (or $tls.ca $tls.cert $tls.key) -}}
{{- fail (printf "%s.tls names keys, but no existingSecret" $server) -}}
{{- end -}}
{{- end -}}
{{- $sasl := default dict .Values.config.kafka.sasl -}}
{{- $mechanism := default "none" $sasl.mechanism -}}
{{- if ne (eq $mechanism "none") (empty (include "tollstream.loginSecret" (dict "login" .Values.kafka.sasl "name" "kafka" "root" .))) -}}
{{- fail "config.kafka.sasl.mechanism and a password in kafka.sasl go together" -}}
{{- end -}}
{{- if and .Values.topics.enabled (not .Values.topics.cluster) -}}
{{- fail "topics.cluster: name the Kafka resource of Strimzi" -}}
{{- end -}}
{{- end }}

{{/* A pod of one process. The argument has root, component, args, resources and a
limit for Go. The migration runs
before there are other objects of the release, so it has copies of its own, by the suffix -hook. */}}
{{- define "tollstream.pod" -}}
{{- $ := .root -}}
{{- $component := .component -}}
{{- $hook := eq .component "migrate" -}}
{{- $suffix := ternary "-hook" "" $hook -}}
{{- $clickhouse := index $.Values.clickhouse .component -}}
{{- $login := include "tollstream.loginSecret" (dict "login" $clickhouse "name" (printf "clickhouse-%s%s" .component $suffix) "root" $) -}}
{{- $sasl := include "tollstream.loginSecret" (dict "login" $.Values.kafka.sasl "name" (printf "kafka%s" $suffix) "root" $) -}}
metadata:
  labels:
    {{- include "tollstream.labels" $ | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
    {{- with $.Values.pod.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/config: {{ include "tollstream.config" $ | sha256sum }}
    {{- with $.Values.pod.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- if not $hook }}
  serviceAccountName: {{ include "tollstream.serviceAccount" $ }}
  {{- else }}
  restartPolicy: Never
  {{- end }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ $.Values.pod.terminationGracePeriodSeconds | int64 }}
  {{- with $.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $.Values.pod.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: {{ $.Values.pod.user | int64 }}
    runAsGroup: {{ $.Values.pod.user | int64 }}
    fsGroup: {{ $.Values.pod.user | int64 }}
    seccompProfile: {type: RuntimeDefault}
  containers:
    - name: tollstream
      image: {{ include "tollstream.image" $ }}
      imagePullPolicy: {{ $.Values.image.pullPolicy }}
      args:
        {{- range .args }}
        - {{ . }}
        {{- end }}
        - --config=/etc/tollstream/config/tollstream.yaml
        - {{ printf "--clickhouse.user=%s" $clickhouse.user | quote }}
        {{- if $login }}
        - --clickhouse.password_file=/etc/tollstream/clickhouse/password
        {{- end }}
        {{- if $sasl }}
        - --kafka.sasl.password_file=/etc/tollstream/kafka/password
        {{- end }}
      {{- with .goMemoryLimit }}
      env:
        - {name: GOMEMLIMIT, value: {{ . }}}
      {{- end }}
      {{- if not $hook }}
      ports:
        - {name: http, containerPort: {{ include "tollstream.port" $ }}, protocol: TCP}
      # The port answers once the start is over, which may wait for Kafka for a minute or two.
      startupProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 36
      # Only a process that hangs as a whole is restarted. One that waits for Kafka, ClickHouse or
      # a person is not ready, and a restart would not help it.
      livenessProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 20
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /readyz, port: http}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 2
      {{- end }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      {{- with .resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        - {name: config, mountPath: /etc/tollstream/config, readOnly: true}
        {{- if $login }}
        - {name: clickhouse, mountPath: /etc/tollstream/clickhouse, readOnly: true}
        {{- end }}
        {{- if $sasl }}
        - {name: kafka, mountPath: /etc/tollstream/kafka, readOnly: true}
        {{- end }}
        {{- range $server := list "clickhouse" "kafka" }}
        {{- if (index $.Values $server).tls.existingSecret }}
        - {name: {{ $server }}-tls, mountPath: /etc/tollstream/{{ $server }}-tls, readOnly: true}
        {{- end }}
        {{- end }}
        {{- if $.Values.catalog.existingConfigMap }}
        - {name: catalog, mountPath: /etc/tollstream/catalog, readOnly: true}
        {{- end }}
  volumes:
    - name: config
      configMap: {name: {{ include "tollstream.fullname" $ }}{{ $suffix }}}
    {{- if $login }}
    - name: clickhouse
      secret:
        secretName: {{ $login }}
        defaultMode: 0440
        items: [{key: {{ include "tollstream.loginKey" $clickhouse }}, path: password}]
    {{- end }}
    {{- if $sasl }}
    - name: kafka
      secret:
        secretName: {{ $sasl }}
        defaultMode: 0440
        items: [{key: {{ include "tollstream.loginKey" $.Values.kafka.sasl }}, path: password}]
    {{- end }}
    {{- range $server := list "clickhouse" "kafka" }}
    {{- with (index $.Values $server).tls.existingSecret }}
    - name: {{ $server }}-tls
      secret: {secretName: {{ . }}, defaultMode: 0440}
    {{- end }}
    {{- end }}
    {{- if $.Values.catalog.existingConfigMap }}
    - name: catalog
      configMap:
        name: {{ $.Values.catalog.existingConfigMap }}
        items: [{key: {{ $.Values.catalog.key }}, path: catalog.yaml}]
    {{- end }}
  {{- if not $hook }}
  topologySpreadConstraints:
    {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
    - maxSkew: 1
      topologyKey: {{ $key }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "tollstream.selector" $ | nindent 10 }}
          app.kubernetes.io/component: {{ $component }}
    {{- end }}
  {{- end }}
  {{- with $.Values.pod.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $.Values.pod.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $.Values.pod.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
